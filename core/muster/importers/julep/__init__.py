"""Julep (version 1): a task as YAML.

The workflow ``main`` becomes a chain of steps, the others ``workflows``. Prompts and tools become container steps: who
answers them is the image. Python expressions are written anew in CEL where CEL can say the same; the others are noted.
"""

from muster.importers.julep.task import carry

__all__ = ["carry"]

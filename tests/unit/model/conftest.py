"""What tests of the model share."""

from tests.fixtures.controlled import sound

__all__ = ["sound"]

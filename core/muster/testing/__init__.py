"""Testing workflows: recorded runs replayed, and the real engine in the test's own process.

The fixtures of ``muster.testing.plugin`` are found by pytest by themselves. What they give can be used by hand as well:
``muster.testing.engine.Engine`` with any test runner, ``muster.testing.replayed.replayed`` with none.
"""

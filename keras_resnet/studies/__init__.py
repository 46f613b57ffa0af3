"""The experiments of the lesson, as commands."""

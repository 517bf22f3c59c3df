"""What goes wrong."""


class Error(Exception):
    """The program's or the package's message: what was wrong, and what would be right."""

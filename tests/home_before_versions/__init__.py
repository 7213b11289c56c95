"""A home as the last code left it that told versions of code by the bytes of whole folders, and how it was made."""

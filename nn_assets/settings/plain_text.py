"""Text files of settings: read whole, within a limit of size."""

from __future__ import annotations

from pathlib import Path

from nn_assets.errors import SettingsError

LONGEST = 1 << 18  # bytes: a thousand times what a strategy states


def plain_text(file: Path, *, key: str | None = None) -> str:
    """Text of a UTF-8 file that states settings.

    Parameters
    ----------
    key : str, optional
        The key that names the file, where one does.

    Raises
    ------
    SettingsError
        It has more than 256 KiB, and is not read.
    OSError
        It cannot be read, or is no plain file.
    UnicodeDecodeError
        It is not UTF-8.
    """
    if file.exists() and not file.is_file():
        raise OSError(f"{file} is no plain file")
    refuse_too_long(file.stat().st_size, str(file), key=key)
    return file.read_text(encoding="utf-8")


def refuse_too_long(size: int, file: str, *, key: str | None = None) -> None:
    """Refuse settings of more than 256 KiB.

    Raises
    ------
    SettingsError
        With the size, in bytes, and the limit.
    """
    if size > LONGEST:
        raise SettingsError(
            expected=f"a file of settings of at most {LONGEST:,} bytes",
            found=f"{size:,}",
            remedy="settings state what differs from the defaults; keep data in files of their own",
            file=file,
            key=key,
        )

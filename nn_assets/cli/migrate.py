"""The command ``migrate``: copy the embedded ledger of a home to a server."""

from __future__ import annotations

import os
from typing import Any

from nn_assets.errors import LedgerError
from nn_assets.store.home import embedded_ledger, safe_url
from nn_assets.store.ledger.engine import open_engine
from nn_assets.store.ledger.ledger import Ledger
from nn_assets.store.ledger.transfer import copy_ledger


def migrate(variable: str) -> dict[str, Any]:
    """Copy the home's embedded ledger to the database whose address an environment variable holds.

    Parameters
    ----------
    variable : str
        Name of the variable: an address on the command line would stay in the shell's history.

    Raises
    ------
    LedgerError
        The variable holds no address, there is no embedded ledger, or the copy is refused; see
        :func:`nn_assets.store.ledger.transfer.copy_ledger`.
    """
    address = _address_in(variable)
    file = embedded_ledger()
    if not file.is_file():
        raise LedgerError(
            expected="an embedded ledger in the home",
            found="no such file",
            remedy="name the home with NN_ASSETS_HOME; a new ledger on a server needs no migration",
            file=file,
        )
    source = open_engine(f"sqlite:///{file}", read_only=True)
    try:
        with Ledger(address) as target:
            transfer = copy_ledger(source, target)
    finally:
        source.dispose()
    verified, target_url = transfer.verified, safe_url(address)
    return {
        "from": str(file),
        "to": target_url,
        "copied": transfer.copied,
        "entries": verified.entries,
        "head": str(verified.head),
        "rows": verified.rows,
        "text": f"{transfer.copied} entries copied to {target_url}; all {verified.entries} verify there, head "
        f"{verified.head}.\nThe file {file} is as it was. From now on set NN_ASSETS_DATABASE_URL, and append "
        "to the file no more.\nDagster's run history stays in the home: on a server it begins anew, with every "
        "schedule and sensor as it is by default.",
    }


def _address_in(variable: str) -> str:
    if not variable.isidentifier():  # perhaps an address, password and all: it is not quoted
        raise LedgerError(
            expected="the name of an environment variable",
            found="something else",
            remedy="put the address into a variable, and name that with --to-env",
            key="--to-env",
        )
    address = os.environ.get(variable, "").strip()
    if not address.startswith("postgres"):
        raise LedgerError(
            expected=f"an address such as postgresql://user@host/name in {variable}",
            found="an address of something else" if address else "nothing",
            remedy=f"set {variable} to the address of the new database",
            key="--to-env",
        )
    return address

"""``python -m nn_assets.cli`` is ``nn-assets``."""

from nn_assets.cli.app import main

if __name__ == "__main__":
    main()

"""``python -m nn_assets.orchestration.daemon run ...``: Dagster's daemon, which ends with its parent process."""

from nn_assets.operations.starter import end_with_starter

if __name__ == "__main__":
    end_with_starter()
    from dagster._daemon.cli import main

    main()

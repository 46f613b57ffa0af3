"""Launcher for a checkout: `python cli.py train …`. The commands live in keras_resnet/cli/main.py."""

from keras_resnet.cli.main import main

if __name__ == "__main__":
    main()

"""Launcher for a checkout: `python cli.py train …`. The commands live in keras_resnet/commands.py."""

from keras_resnet.commands import main

if __name__ == "__main__":
    main()

"""`python -m townsfolk.cli`: how the command starts itself in the background, wherever its script lies."""

from townsfolk.cli import main

if __name__ == "__main__":
    main()

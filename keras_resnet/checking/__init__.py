"""What is wrong with a dataset: unreadable files, duplicates, bad images, unequal classes, suspected label errors."""

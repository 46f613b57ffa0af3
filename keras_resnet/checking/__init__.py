"""What is wrong with a data set: unreadable files, duplicates, bad images, unequal classes, suspected label errors."""

"""Heat maps: which parts of an image a network's score of a class, a label or an object rests on."""

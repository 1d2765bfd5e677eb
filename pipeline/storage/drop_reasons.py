"""Why `curate` drops a picture, as in the column `reason` of data/curated: the reasons that other stages ask for by name."""

BY_HAND = "by hand"
UNDECODABLE = "undecodable"
NOT_CLOTHING = "not clothing"
IRRELEVANT = "irrelevant"
BY_WORDS = "irrelevant by words"
OF_NO_GARMENT = (BY_HAND, UNDECODABLE, NOT_CLOTHING, IRRELEVANT, BY_WORDS)  # what is published, but no garment

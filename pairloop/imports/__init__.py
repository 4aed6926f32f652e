"""Other people's votes and answers, read from the layouts they are published and exported in."""

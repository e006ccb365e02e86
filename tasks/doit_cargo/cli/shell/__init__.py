"""What a shell brings along: the habits of cargo's command line, and the completion of words."""

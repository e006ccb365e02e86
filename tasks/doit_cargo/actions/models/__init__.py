"""The models family: what a file says of itself, the inventory of a folder, the check of it, and downloads."""

"""What a build service needs of a workspace: its jobs, and the files that tell it to run them."""

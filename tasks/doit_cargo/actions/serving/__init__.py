"""The serve family: the built program in the foreground, as a test server in the background, and on a terminal."""

"""What goes round all day: again what failed, again on each edit, only what an edit can have changed."""

"""What a program really does: run in a box that nothing leaves, with stand-ins that write down how they are called."""

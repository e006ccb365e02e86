"""The doit-cargo command: a launcher that reads receipts first, and the commands around it."""

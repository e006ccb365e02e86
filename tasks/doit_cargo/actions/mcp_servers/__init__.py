"""The mcp family: the list of MCP servers that a program is given, checked word by word and tried for real."""

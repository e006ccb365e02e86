"""What everything rests on: types, errors, paths, variables, processes. Knows neither cargo nor a workspace."""

"""Actions that measure: coverage, benchmarks, profiles of a run, timings of a build, sizes of programs.

One module a subject; each action is (session, values) -> success. `planned` has what they share: the cargo call of
their row, and builds in a scratch target directory, so that nothing that is measured moves what other targets made.
"""

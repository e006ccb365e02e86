"""What a run really read: the whole tree of its processes is observed, and told by unit, build script and test.

    observer = Observer.find(environ)              # or raises NotHere, which says why
    with observer.start() as observation:
        argv, environ = observation.call(argv, environ)
        subprocess.run(argv, env=environ)
        observed = observation.read()
    run = whole_run(observed)
    for unit, group in by_unit(observed).items():
        rows, reasons = inputs(run, group, scope)  # later: state.seen.changes(rows, world)

It imports nothing of plans, ledgers or tests; what reads logs is loaded only once there are some.
"""

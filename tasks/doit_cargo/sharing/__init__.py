"""Results shared between machines: what somebody has built from exactly these inputs is fetched instead of built.

The protocol is the Remote Execution API, version 2; the stores are a folder, HTTP or gRPC. Loaded only where a pack
configures a store and cargo would have to run: a skip never gets here.
"""

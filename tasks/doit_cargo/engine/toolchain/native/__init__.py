"""Tools around native code: linkers, LLVM's programs, pkg-config, Visual C++."""

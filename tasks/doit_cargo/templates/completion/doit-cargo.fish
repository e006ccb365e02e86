# Words for doit-cargo, and for make where the Makefile is doit-cargo's: doit-cargo completion fish | source
function __doit_cargo_words
    doit-cargo complete -- (commandline -opc) (commandline -ct) 2>/dev/null
end
function __doit_cargo_makes
    head -n 1 GNUmakefile makefile Makefile 2>/dev/null | grep -q '^# Written by doit-cargo'
end
complete -c doit-cargo -f -a '(__doit_cargo_words)'
complete -c make -f -n __doit_cargo_makes -a '(__doit_cargo_words)'

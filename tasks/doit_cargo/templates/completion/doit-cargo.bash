# Words for doit-cargo, and for make where the Makefile is doit-cargo's: eval "$(doit-cargo completion bash)"
_doit_cargo() {
    local line=${COMP_LINE:0:COMP_POINT} words word
    read -ra words <<< "$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    word=${words[-1]}
    local IFS=$'\n'
    COMPREPLY=($(doit-cargo complete -- "${words[@]}" 2> /dev/null | cut -f 1))
    # bash takes = for the end of a word.
    if [[ $word == *=* && $COMP_WORDBREAKS == *=* ]]; then
        COMPREPLY=("${COMPREPLY[@]#"${word%%=*}="}")
    fi
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[=/] ]]; then
        compopt -o nospace
    fi
}
_doit_cargo_make() {
    if head -n 1 GNUmakefile makefile Makefile 2> /dev/null | grep -q '^# Written by doit-cargo'; then
        _doit_cargo
    elif declare -F _make > /dev/null; then
        _make "$@"
    elif declare -F _comp_cmd_make > /dev/null; then
        _comp_cmd_make "$@"
    fi
}
complete -F _doit_cargo doit-cargo
complete -o default -F _doit_cargo_make make

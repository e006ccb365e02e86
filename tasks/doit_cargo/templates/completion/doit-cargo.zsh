# Words for doit-cargo, and for make where the Makefile is doit-cargo's: eval "$(doit-cargo completion zsh)"
_doit_cargo() {
    local line word text
    local -a plain open
    for line in "${(@f)$(doit-cargo complete -- "${(@)words[1,CURRENT]}" 2> /dev/null)}"; do
        word=${line%%$'\t'*}
        text=${line#*$'\t'}
        [[ -z $word ]] && continue
        if [[ $word == *[=/] ]]; then
            open+=("${word//:/\\:}:$text")
        else
            plain+=("${word//:/\\:}:$text")
        fi
    done
    (( $#open )) && _describe -t variables 'variable' open -S ''
    (( $#plain )) && _describe -t words 'word' plain
}
_doit_cargo_make() {
    if head -n 1 GNUmakefile makefile Makefile 2> /dev/null | grep -q '^# Written by doit-cargo'; then
        _doit_cargo
    else
        _make "$@"
    fi
}
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
compdef _doit_cargo doit-cargo
compdef _doit_cargo_make make

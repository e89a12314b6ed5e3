# Completion of provctl for bash: words come from the program itself.
_provctl()
{
	local cur=${COMP_WORDS[COMP_CWORD]}
	if [ "$COMP_CWORD" -eq 1 ]; then
		mapfile -t COMPREPLY < <(compgen -W "$(provctl __words 2>/dev/null | cut -f1) --help --version" -- "$cur")
	elif [[ $cur == -* || ${COMP_WORDS[1]} == doc ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$(provctl __words "${COMP_WORDS[1]}" 2>/dev/null | cut -f1)" -- "$cur")
	else
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
	fi
}
complete -o filenames -F _provctl provctl

#compdef provctl
# Completion of provctl for zsh: words, and what they are for, come from the program itself.
local -a found
local tab=$'\t'
if (( CURRENT == 2 )); then
	found=(${(f)"$(provctl __words 2>/dev/null)"} "--help${tab}Lists the commands" "--version${tab}Shows the version")
elif [[ $words[CURRENT] == -* || $words[2] == doc ]]; then
	found=(${(f)"$(provctl __words $words[2] 2>/dev/null)"})
else
	_files
	return
fi
found=("${(@)found//:/\\:}")
found=("${(@)found/$tab/:}")
_describe provctl found

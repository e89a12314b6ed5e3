# Completion of provctl for fish: words, and what they are for, come from the program itself.
complete -c provctl -n __fish_use_subcommand -f -a '(provctl __words)'
complete -c provctl -n __fish_use_subcommand -l help -d 'Lists the commands'
complete -c provctl -n __fish_use_subcommand -l version -d 'Shows the version'
complete -c provctl -n 'string match -q -- "-*" (commandline -ct)' -f -a '(provctl __words (commandline -opc)[2])'
complete -c provctl -n '__fish_seen_subcommand_from doc' -f -a '(provctl __words doc)'

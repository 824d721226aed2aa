# SPDX-License-Identifier: GPL-2.0-only
# bash completion for verst(8). Commands and options are read from `verst --help`, ids and names from `verst list`.

_verst_commands() {
	verst --help 2>/dev/null | sed -n 's/^  \([a-z][a-z-]*\( [a-z]\+\)\?\)  .*/\1/p'
}

_verst_options() {
	# shellcheck disable=SC2086
	verst $1 --help 2>/dev/null | sed -n 's/^ *\(-., *\)*\(\(-[a-z], \)\?--[a-z][a-z-]*\).*/\2/p' | tr -d ' ' | tr ',' '\n'
}

_verst_ves() {
	verst "${root[@]}" list -a --json 2>/dev/null | sed -n 's/.*"\(ctid\|name\)":"\?\([^",]\+\)"\?.*/\2/p'
}

_verst_templates() {
	verst "${root[@]}" template list 2>/dev/null | awk 'NR > 1 { print $1 }'
}

_verst() {
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} command="" args=0 i root=()

	COMPREPLY=()
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		--root)
			root=(--root "${COMP_WORDS[++i]}")
			;;
		-*) ;;
		template | image)
			command=${COMP_WORDS[i]}
			[[ $i -lt $((COMP_CWORD - 1)) ]] && command+=" ${COMP_WORDS[++i]}"
			;;
		*)
			if [[ -z $command ]]; then command=${COMP_WORDS[i]}; else args=$((args + 1)); fi
			;;
		esac
	done

	case $prev in
	--root | --from | --to | -i | --known-hosts)
		compopt -o filenames
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
		;;
	--template | --ostemplate)
		mapfile -t COMPREPLY < <(compgen -W "$(_verst_templates)" -- "$cur")
		return
		;;
	--init)
		mapfile -t COMPREPLY < <(compgen -W "sysvinit systemd" -- "$cur")
		return
		;;
	--onboot)
		[[ $command == set ]] && mapfile -t COMPREPLY < <(compgen -W "yes no" -- "$cur") && return
		;;
	esac

	if [[ -z $command ]]; then
		if [[ $cur == -* ]]; then
			mapfile -t COMPREPLY < <(compgen -W "--root --json --quiet --verbose --help --version" -- "$cur")
		else
			mapfile -t COMPREPLY < <(compgen -W "$(_verst_commands | cut -d' ' -f1 | sort -u)" -- "$cur")
		fi
		return
	fi
	if [[ $cur == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$(_verst_options "$command")" -- "$cur")
		return
	fi
	case $command in
	template | image)
		mapfile -t COMPREPLY < <(compgen -W "$(_verst_commands | sed -n "s/^$command //p")" -- "$cur")
		;;
	"template build")
		mapfile -t COMPREPLY < <(compgen -W "busybox debian" -- "$cur")
		;;
	"template remove")
		mapfile -t COMPREPLY < <(compgen -W "$(_verst_templates)" -- "$cur")
		;;
	"image show" | "image verify")
		compopt -o filenames
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		;;
	create | restore | list | agent) ;;
	*)
		[[ $args -eq 0 ]] && mapfile -t COMPREPLY < <(compgen -W "$(_verst_ves)" -- "$cur")
		;;
	esac
}
complete -F _verst verst

"""`atftctl completion SHELL`."""

from typing import TYPE_CHECKING, Annotated

import typer

from atftctl.cli.command import command
from atftctl.cli.session import Session

if TYPE_CHECKING:
    from atftctl.domain.result import Result

Shell = Annotated[str, typer.Argument(metavar="bash|zsh|fish", help="Shell that the script is for.")]

BASH = r"""# atftctl completion for bash. Add this line to ~/.bashrc:  source <(atftctl completion bash)
_atftctl() {
    local line
    COMPREPLY=()
    while IFS= read -r line; do
        if [[ $line == :files ]]; then
            compopt -o default
        else
            COMPREPLY+=("${line%%$'\t'*}")
        fi
    done < <(atftctl __complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -F _atftctl atftctl
"""
ZSH = r"""#compdef atftctl
# atftctl completion for zsh. Add this line to ~/.zshrc, after compinit:  source <(atftctl completion zsh)
_atftctl() {
    local line
    local -a candidates
    for line in "${(@f)$(atftctl __complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
        if [[ $line == :files ]]; then
            _files
            return
        elif [[ $line == *$'\t'* ]]; then
            candidates+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
        elif [[ -n $line ]]; then
            candidates+=("${line//:/\\:}")
        fi
    done
    _describe atftctl candidates
}
if [[ $funcstack[1] == _atftctl ]]; then _atftctl "$@"; else compdef _atftctl atftctl; fi
"""
FISH = r"""# atftctl completion for fish. Save it:  atftctl completion fish > ~/.config/fish/completions/atftctl.fish
function __atftctl_candidates
    set -l current (commandline -ct)
    set -l before (commandline -opc)
    for line in (atftctl __complete -- $before[2..-1] "$current" 2>/dev/null)
        if test "$line" = :files
            __fish_complete_path "$current"
        else
            printf '%s\n' $line
        end
    end
end
complete -c atftctl -f -a '(__atftctl_candidates)'
"""
SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}


@command(
    "completion",
    examples=(
        "source <(atftctl completion bash)",
        "atftctl completion fish > ~/.config/fish/completions/atftctl.fish",
    ),
)
def completion(session: Session, shell: Shell) -> "Result":
    """Print the script for shell completion.

    The script completes commands, options, symptoms, improvements, snapshots and operations. Its first lines say how to
    install it.
    """
    from atftctl.cli.render.result import verbatim
    from atftctl.domain.errors import UsageError
    from atftctl.domain.result import Result
    from atftctl.protocol import Exit
    from atftctl.protocol.messages import tr

    if shell not in SCRIPTS:
        raise UsageError(
            tr("no completion for {shell}", shell=shell), hint=tr("known shells: {shells}", shells=", ".join(SCRIPTS))
        )
    session.render = verbatim
    return Result("completion", Exit.DONE, "", lines=tuple(SCRIPTS[shell].splitlines()))

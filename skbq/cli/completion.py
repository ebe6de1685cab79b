"""The command ``skbq completion``."""

import argparse
from collections.abc import Iterator, Mapping
from functools import partial

from ._options import Commands
from ._terminal import print_lines

_BASH = """\
_skbq() {{
  local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}}
  local command=${{COMP_WORDS[1]}} offered=
  if [ "$COMP_CWORD" -eq 1 ]; then
    offered="{commands} --help --version"
  else
    case "$command $before" in
{choices}
      *)
        case "$command $word" in
{options}
        esac ;;
    esac
  fi
  COMPREPLY=($(compgen -W "$offered" -- "$word"))
}}
# Names of files where none of these fits.
complete -o default -F _skbq skbq"""

# zsh brings what lets it load completions of bash.
_ZSH = """\
(( $+functions[compdef] )) || { autoload -U compinit && compinit }
autoload -U bashcompinit && bashcompinit
"""

_LOAD = {
    "bash": "source <(skbq completion bash)",
    "zsh": "source <(skbq completion zsh)",
    "fish": "skbq completion fish | source",
}


def add(commands: Commands) -> None:
    """Add the command to the parser."""
    completion = commands.add_parser(
        "completion",
        help="print a script that lets the shell complete words",
        description=(
            "Print a script that lets the shell complete commands, options and their "
            "values. Load it with: " + "; or ".join(_LOAD.values())
        ),
    )
    completion.add_argument("shell", choices=list(_LOAD), help="the shell")
    completion.set_defaults(run=partial(run, commands.choices))


def run(
    parsers: Mapping[str, argparse.ArgumentParser], args: argparse.Namespace
) -> None:
    """Run the command: the script holds all words, so that a key starts no Python."""
    if args.shell == "fish":
        print_lines(_fish_lines(parsers))
        return
    script = _BASH.format(
        commands=" ".join(parsers),
        choices="\n".join(_choices(parsers)),
        options="\n".join(_options(parsers)),
    )
    print_lines([_ZSH + script if args.shell == "zsh" else script])


def _fish_lines(parsers: Mapping[str, argparse.ArgumentParser]) -> Iterator[str]:
    """Yield a line for each command, option and argument that has a list of values."""
    first = "complete -c skbq -n __fish_use_subcommand"
    yield f"{first} -f -a '{' '.join(parsers)}'"
    yield f"{first} -l help"
    yield f"{first} -l version"
    for command, parser in parsers.items():
        for action in _shown(parser):
            words = [
                f"complete -c skbq -n '__fish_seen_subcommand_from {command}'",
                *(f"-l {name[2:]}" for name in _long(action)),
            ]
            if action.choices is not None:
                values = " ".join(map(str, action.choices))
                words.append(f"-x -a '{values}'")
            elif action.option_strings and action.nargs != 0:
                words.append("-r")
            elif not action.option_strings:
                continue
            text = (action.help or "").replace("\\", "\\\\").replace("'", "\\'")
            yield " ".join([*words, f"-d '{text}'"])


def _choices(parsers: Mapping[str, argparse.ArgumentParser]) -> Iterator[str]:
    """Yield a case for each option with a list of values, or argument with one."""
    for command, parser in parsers.items():
        for action in _shown(parser):
            if action.choices is None:
                continue
            names = action.option_strings or [command]
            cases = "|".join(f'"{command} {before}"' for before in names)
            values = " ".join(map(str, action.choices))
            yield f'      {cases}) offered="{values}" ;;'


def _options(parsers: Mapping[str, argparse.ArgumentParser]) -> Iterator[str]:
    """Yield a case for each command: its options, where a word begins with a dash."""
    for command, parser in parsers.items():
        long = " ".join(name for action in _shown(parser) for name in _long(action))
        yield f'          "{command} -"*) offered="{long}" ;;'


def _shown(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Yield what the help shows; argparse has no public list of it."""
    for action in parser._actions:
        if action.help != argparse.SUPPRESS:
            yield action


def _long(action: argparse.Action) -> list[str]:
    """Return the long names of an option; none of an argument."""
    return [name for name in action.option_strings if name.startswith("--")]

load ../zdtm/lib/zdtm

# usage WORDS...: crtool says nothing but one last line, which is in $stderr, and ends with 2.
usage() {
	run -2 --separate-stderr crtool "$@"
	[ -z "$output" ]
	[[ $stderr == "crtool: error: "* && $stderr != *$'\n'* ]]
}

@test "without a command, crtool says where help is" {
	usage
	[[ $stderr == *"crtool help"* ]]
}

@test "an unknown command is refused by name" {
	usage frobnicate
	[[ $stderr == *"unknown command 'frobnicate'"* ]]
}

@test "an unknown option is refused by name" {
	usage dump --frobnicate
	[[ $stderr == *"unknown option '--frobnicate'"* ]]
	usage restore -q
	[[ $stderr == *"unknown option '-q'"* ]]
}

@test "an option of another command is refused" {
	usage restore --leave-running
}

@test "an option of CRIU that is not there yet is told from a typing error" {
	usage dump -t 1 --lazy-pages
	[[ $stderr == *"--lazy-pages is not supported by this version; restore has it"* ]]
	usage dump -t 1 --tls
	[[ $stderr == *"--tls is not supported by this version" ]]
	usage dump -t 1 --ghost-limit=4096x
	[[ $stderr == *"--ghost-limit: '4096x' is no SIZE" ]]
	usage restore --root /nowhere
	[[ $stderr == *"--root /nowhere: No such file or directory" ]]
}

@test "an option without its value is refused" {
	usage dump -t
	[[ $stderr == *"-t needs a value" ]]
	usage dump --tree
	[[ $stderr == *"--tree needs a value" ]]
}

@test "a pid must be a number above zero" {
	for pid in 0 -1 12x '' 99999999999999999999; do
		usage dump -t "$pid"
		[[ $stderr == *"is no PID" ]]
	done
}

@test "dump needs a process" {
	usage dump
	[[ $stderr == *"use -t PID" ]]
}

@test "a word that is no option is refused" {
	usage dump -t 1 images
	[[ $stderr == *"'images' is no option" ]]
}

@test "leave-running and leave-stopped exclude each other" {
	usage dump -t 1 -R -s
}

@test "with --json a usage error is an object, too" {
	run -2 --separate-stderr crtool dump --json --frobnicate
	[[ $output == '{"result":"error","code":2,"error":"dump: unknown option '* ]]
}

@test "help lists the commands, and the options of each" {
	run -0 crtool help
	for command in $(sed -nE 's/^COMMAND\(([a-z]+),.*/\1/p' "$ROOT/cli/options.def"); do
		[[ $output == *"  $command "* ]]
	done
	run -0 crtool help dump
	[[ $output == *"-t, --tree"* ]]
	[[ $output != *"--fail-at"* ]]
	run -0 crtool dump --help
	[[ $output == *"-t, --tree"* ]]
}

@test "version names the version" {
	run -0 crtool version
	[[ $output =~ ^crtool\ [0-9]+\.[0-9]+\.[0-9]+$ ]]
	run -0 crtool --version
}

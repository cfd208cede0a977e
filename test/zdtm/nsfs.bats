load lib/zdtm

@test "descriptors of a program's own namespaces" { zdtm nsfs; }

@test "a descriptor of another namespace is refused by name" {
	park nsfs other
	run -4 crtool dump -t "$pid" -D "$(images)"
	[[ $output == *": uts:["*"]: another uts namespace than the one that the program lives in: not supported"* ]]
	running "$pid"
	release
}

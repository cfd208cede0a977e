load lib/zdtm

@test "another user comes back as that user" { zdtm creds user; }

@test "dumpable is kept although a change of users takes it away" { zdtm creds user dumpable; }

@test "real, effective and saved ids may differ" { zdtm creds mixed; }

@test "capability sets, ambient and bounding too, and securebits are kept" { zdtm creds caps; }

@test "a thread has its own rights" { zdtm creds thread; }

@test "the signal at the end of a parent is kept, and comes" { zdtm creds parent; }

@test "a process keyring is reported as lost" {
	park creds keyring
	run crtool dump -R -t "$pid" -D "$(images)"
	[ "$status" = 0 ]
	[[ $output == *"its process keyring"* ]]
	release
}

@test "a keyring of a thread is reported as lost" {
	park creds thread keyring
	run -0 crtool dump -R -t "$pid" -D "$(images)"
	[[ $output == *"not carried: task $pid (creds): thread "*": its keyring"* ]] || explain "$output"
	[ "$(grep -c "its keyring" <<<"$output")" = 1 ]
	release
}

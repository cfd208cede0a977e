load ../zdtm/lib/zdtm

@test "without a terminal there is no progress" {
	park park
	run --separate-stderr crtool dump -R -t "$pid" -D "$(images)"
	[ "$status" -eq 0 ]
	[ -z "$output$stderr" ]
	release
}

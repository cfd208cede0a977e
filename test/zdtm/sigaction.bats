load lib/zdtm

@test "handlers keep their flags and masks" { zdtm sigaction; }

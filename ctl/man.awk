# A manual page from what --help says, which comes from the tables of options:
#
#	provctl apply --help | awk -f man.awk -v name=provctl-apply -v section=1 \
#	    -v date=2026-11-22 -v version=0.1.0 -v also='provctl(1)'
#
# The help's form: "usage: …", paragraphs (the first says what it is for), then
# headings that end with a colon, with rows below them: two blanks, a term,
# two or more blanks or a new line, and the term's text.

# Text for roff: `code` is bold, nothing is taken for a request or a dash for a hyphen.
function roff(s,	n, part, i, out) {
	gsub(/\\/, "\\e", s)
	n = split(s, part, "`")
	out = ""
	for (i = 1; i <= n; i++) {
		if (i % 2 == 0 && i < n)
			out = out "\\fB" dashes(part[i]) "\\fR"
		else
			out = out (i > 1 && i % 2 == 0 ? "`" : "") dashes(part[i])
	}
	return out ~ /^[.']/ ? "\\&" out : out
}

# Options are to be copied and searched for, so their dashes are real ones.
function dashes(s) {
	gsub(/--/, "\\-\\-", s)
	sub(/^-/, "\\-", s)
	gsub(/ -/, " \\-", s)
	gsub(/\(-/, "(\\-", s)
	return s
}

# The option's names bold, its value italic.
function term(s,	n, word, i, out, font) {
	n = split(s, word, " ")
	out = ""
	for (i = 1; i <= n; i++) {
		font = word[i] ~ /^-/ || !options ? "\\fB" : "\\fI"
		out = out (i > 1 ? " " : "") font roff(word[i]) "\\fR"
	}
	gsub(/,\\fR/, "\\fR,", out)
	return out
}

NR == 1 {
	sub(/^usage: /, "")
	usage = $0
	next
}

/^$/ {
	if (rows == 0)
		paragraph = 1
	next
}

# What it is for: the page's name.
NR > 1 && summary == "" {
	summary = $0
	next
}

!named && /^[^ ].*[^:]$/ && !paragraph {
	summary = summary " " $0
	next
}

!named {
	sub(/\.$/, "", summary)
	printf ".TH %s %s %s \"provctl %s\"\n", toupper(name), section, date, version
	printf ".SH NAME\n%s \\- %s\n.SH SYNOPSIS\n", name, roff(tolower(substr(summary, 1, 1)) substr(summary, 2))
	n = split(usage, word, " ")
	for (i = 1; i <= n; i++)
		printf("%s%s%s\\fR", (i > 1 ? " " : ""), (word[i] ~ /^[a-z]/ ? "\\fB" : "\\fI"), roff(word[i]))
	print ""
	named = 1
}

/^[A-Z][^.]*:$/ {
	sub(/:$/, "")
	if ($0 == "Commands" || $0 == "Exit status" || $0 == "Options")
		print ".SH " toupper($0)
	else if (options)
		print ".SS " $0
	else
		print ".SH OPTIONS\n.SS " $0
	options = $0 != "Commands" && $0 != "Exit status"
	rows = 1
	next
}

# A row's term, perhaps with its text.
rows && /^  ? ? ? ? ?[^ ]/ {
	sub(/^ +/, "")
	at = match($0, /   */)
	print ".TP"
	print term(at ? substr($0, 1, at - 1) : $0)
	if (at)
		print roff(substr($0, at + RLENGTH))
	next
}

rows && /^ / {
	sub(/^ +/, "")
	print roff($0)
	next
}

{
	if (rows || !described++)
		print ".SH " (rows ? "NOTES" : "DESCRIPTION")
	else if (paragraph)
		print ".PP"
	rows = paragraph = 0
	print roff($0)
}

END {
	while (more != "" && (getline line < more) > 0)
		print line
	print ".SH SEE ALSO"
	gsub(/-/, "\\-", also)
	gsub(/[a-z.\\-]+\(/, "\\fB&", also)
	gsub(/\(/, "\\fR(", also)
	print also
}

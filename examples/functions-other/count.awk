# A function in awk: it speaks the protocol of docs/function-protocol.md itself. It counts words.
#
# One message a line comes on stdin, and one goes out on stdout. A call is answered before the next line is read, so
# there is nothing to cancel, and ``ping`` waits for the call before it.

{
	delete kind; delete raw
	text = $0; at = 1
	if (text ~ /^[ \t\r]*$/) next
	if (!value("") || rest() != "" || kind[""] != "object") { refuse("null", -32700, "a line is no message"); next }
	id = ("id" in raw) ? raw["id"] : ""
	if (raw["method"] == "\"load\"") load()
	else if (raw["method"] == "\"execute\"") execute()
	else if (raw["method"] == "\"ping\"") say(id, "{\"calls\":[]}")
	else if (raw["method"] == "\"shutdown\"") { say(id, "null"); exit 0 }
	else if (id != "" && ("method" in raw)) refuse(id, -32601, "there is no such method")
	# what has no id asks for no answer: cancel, release, and whatever comes to be
}

function load() {
	if (raw["params.protocol"] != "1") {
		refuse(id, -32012, "this function speaks version 1", "{\"supported\":[1]}")
		return
	}
	loaded = 1
	say(id, "{\"protocol\":1,\"concurrency\":1,\"name\":\"count\"}")
}

function execute(    words, n, i, longest) {
	if (!loaded) { refuse(id, -32600, "nothing is loaded"); return }
	if (kind["params.inputs.text"] != "string") {
		refuse(id, -32602, "the argument text must be a string",
			"{\"where\":\"bind\",\"argument\":\"text\",\"expected\":\"string\",\"found\":\"" kind["params.inputs.text"] "\"}")
		return
	}
	tell("log", "{\"id\":" id ",\"level\":\"info\",\"logger\":\"count\",\"text\":\"counting\"}")
	text = raw["params.inputs.text"]
	text = substr(text, 2, length(text) - 2)
	gsub(/\\[ntr]/, " ", text)
	n = split(text, words, / +/)
	for (i = 1; i <= n; i++) if (length(words[i]) > length(longest)) longest = words[i]
	n -= (words[1] == "") + (n > 1 && words[n] == "")
	print "counted " n " words" > "/dev/stderr"
	say(id, "{\"$returned\":{\"words\":" n ",\"longest\":\"" longest "\"}}")
}

# ---- what is said

function say(id, result) { send("\"id\":" id ",\"result\":" result) }
function refuse(id, code, message, data) {
	send("\"id\":" id ",\"error\":{\"code\":" code ",\"message\":\"" message "\"" (data ? ",\"data\":" data : "") "}")
}
function tell(method, params) { send("\"method\":\"" method "\",\"params\":" params) }
function send(members) { print "{\"jsonrpc\":\"2.0\"," members "}"; fflush() }

# ---- JSON: kind[path] of every value, and raw[path], its text; a path is names with dots between

function value(path,    c, end, name, n, begin) {
	c = rest(); begin = at
	if (c == "{" || c == "[") {
		kind[path] = c == "{" ? "object" : "array"
		at++
		if (rest() ~ /[]}]/) { at++; return 1 }
		for (n = 0; ; n++) {
			name = n
			if (c == "{") {
				rest()
				if (!token("^\"([^\"\\\\]|\\\\.)*\"")) return 0
				name = substr(found, 2, length(found) - 2)
				if (rest() != ":") return 0
				at++
			}
			if (!value(path == "" ? name : path "." name)) return 0
			end = rest(); at++
			if (end != ",") break
		}
		raw[path] = substr(text, begin, at - begin)
		return end == (c == "{" ? "}" : "]")
	}
	if (c == "\"") { if (!token("^\"([^\"\\\\]|\\\\.)*\"")) return 0; kind[path] = "string" }
	else if (token("^(true|false)")) kind[path] = "boolean"
	else if (token("^null")) kind[path] = "null"
	else if (token("^-?[0-9][0-9.eE+-]*")) kind[path] = "number"
	else return 0
	raw[path] = found
	return 1
}

# The next character that is no space; it stays.
function rest() { while (substr(text, at, 1) ~ /[ \t\r]/) at++; return substr(text, at, 1) }

function token(pattern) {
	if (!match(substr(text, at), pattern)) return 0
	found = substr(text, at, RLENGTH); at += RLENGTH
	return 1
}

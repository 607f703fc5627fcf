// The requests that the clients of google.golang.org/api build for every method that cancels an operation, a line of JSON each, in the
// form of discovery_requests.py. Nothing of opcancel's catalogue is used: generate.go found the methods in the module itself, and names
// are drawn from the patterns of the documents there.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"regexp"
	"strings"
)

// method is what generate.go writes into methods.go for each method.
type method struct {
	service, version, id string
	// The path of the document, such as v1/{+name}:cancel.
	path string
	// The parameters of the path in the order of the client's arguments, with their patterns.
	parameters [][2]string
	cancel     call
	// nil if the client has no get beside it.
	get call
}

// call sends one request through a client with these arguments.
type call func(client *http.Client, arguments []string) error

type request struct {
	Verb string  `json:"verb"`
	URI  string  `json:"uri"`
	Body *string `json:"body"`
}

type name struct {
	Name   string   `json:"name"`
	Cancel *request `json:"cancel"`
	Get    *request `json:"get"`
}

// record keeps the request, and answers it with an empty object.
type record struct{ request *request }

func (r *record) RoundTrip(sent *http.Request) (*http.Response, error) {
	r.request = &request{Verb: sent.Method, URI: sent.URL.String()}
	if sent.Body != nil {
		body, err := io.ReadAll(sent.Body)
		if err != nil {
			return nil, err
		}
		text := strings.TrimSpace(string(body))
		r.request.Body = &text
	}
	answer := &http.Response{
		StatusCode: http.StatusOK,
		Header:     http.Header{"Content-Type": {"application/json"}},
		Body:       io.NopCloser(strings.NewReader("{}")),
		Request:    sent,
	}
	return answer, nil
}

func built(send call, arguments []string) *request {
	var kept record
	if err := send(&http.Client{Transport: &kept}, arguments); err != nil {
		log.Fatalf("%v: %v", arguments, err)
	}
	return kept.request
}

// What ids look like, by their collection.
var ids = map[string]string{
	"projects":        "acme-prod",
	"locations":       "europe-west1",
	"regions":         "europe-west1",
	"zones":           "europe-west1-b",
	"organizations":   "123456789012",
	"folders":         "210987654321",
	"billingAccounts": "01A2B3-0C0D0E-FFFFFF",
	"b":               "b.u_c-k",
}

// The kinds of parents of a pattern that begins with two wildcards.
var parents = []string{"projects", "organizations", "folders", "billingAccounts"}

func id(collection string, number int) string {
	if known, ok := ids[collection]; ok {
		return known
	}
	return fmt.Sprintf("x%d.Y_z~-", number)
}

// drawn returns names of a pattern such as ^projects/[^/]+/operations/.*$, with each kind of parent, and of one segment and four for .*
func drawn(pattern string) []string {
	pattern = strings.TrimSuffix(strings.TrimPrefix(pattern, "^"), "$")
	segments := strings.Split(strings.ReplaceAll(pattern, "[^/]+", "*"), "/")
	firsts := segments[:1]
	if firsts[0] == "*" {
		firsts = parents
	}
	tails := []string{""}
	if segments[len(segments)-1] == ".*" {
		tails = []string{"x1.Y_z~-1", "a/B.c/3/x_4~"}
	}
	var names []string
	for _, first := range firsts {
		for _, tail := range tails {
			name := []string{first}
			for number, segment := range segments[1:] {
				switch segment {
				case ".*":
					segment = tail
				case "*":
					segment = id(name[len(name)-1], number)
				}
				name = append(name, segment)
			}
			names = append(names, strings.Join(name, "/"))
		}
	}
	return names
}

var (
	parameter = regexp.MustCompile(`\{\+?(\w+)\}`)
	ofId      = regexp.MustCompile(`(\w+)/\{\+?(\w+)\}`)
	version   = regexp.MustCompile(`^.*\bv\d[a-z0-9]*/(admin/)?`)
	before    = regexp.MustCompile(`^(sql/)?v\d[a-z0-9]*/`)
	suffix    = regexp.MustCompile(`[:/]cancel$`)
	storage   = regexp.MustCompile(`^b/([^/]+)/operations/([^/]+)$`)
)

// arguments returns values for the parameters of the path.
func (m method) arguments() [][]string {
	var all [][]string
	if len(m.parameters) == 1 {
		for _, name := range drawn(m.parameters[0][1]) {
			all = append(all, []string{name})
		}
		return all
	}
	collections := map[string]string{}
	for _, found := range ofId.FindAllStringSubmatch(m.path, -1) {
		collections[found[2]] = found[1]
	}
	var values []string
	for _, parameter := range m.parameters {
		values = append(values, id(collections[parameter[0]], 1))
	}
	return [][]string{values}
}

// name returns the operation's name: the path without what stands before and after the name.
func (m method) name(arguments []string) string {
	if len(arguments) == 1 {
		// A path such as v1/operations/{+name} has a part of the name before the parameter.
		start, _, _ := strings.Cut(m.path, "{")
		return version.ReplaceAllString(start, "") + arguments[0]
	}
	path := parameter.ReplaceAllStringFunc(m.path, func(found string) string {
		for number, parameter := range m.parameters {
			if strings.Trim(found, "{+}") == parameter[0] {
				return arguments[number]
			}
		}
		return found
	})
	path = suffix.ReplaceAllString(before.ReplaceAllString(path, ""), "")
	// The API and gcloud name an operation of Cloud Storage in another way than its path.
	return storage.ReplaceAllString(path, "projects/_/buckets/$1/operations/$2")
}

func main() {
	out := json.NewEncoder(os.Stdout)
	for _, method := range methods {
		var names []name
		for _, arguments := range method.arguments() {
			name := name{Name: method.name(arguments), Cancel: built(method.cancel, arguments)}
			if method.get != nil {
				name.Get = built(method.get, arguments)
			}
			names = append(names, name)
		}
		line := map[string]any{"service": method.service, "version": method.version, "method": method.id, "names": names}
		if err := out.Encode(line); err != nil {
			log.Fatal(err)
		}
	}
}

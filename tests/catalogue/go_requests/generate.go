//go:build ignore

// Generate finds the methods that cancel operations in google.golang.org/api, and writes methods.go, which calls them. The module has
// more than 100 MB of clients that have such a method, which takes ten minutes to compile. So it also copies the module into the folder
// api, with only those declarations of each client that these calls need, and makes go.mod use the copy.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
)

const module = "google.golang.org/api"

// What the clients import of the module besides each other.
var shared = []string{"googleapi", "internal", "option", "transport"}

var cancels = regexp.MustCompile(`(?m)^func \(r \*(\w*OperationsService)\) Cancel\(`)

func main() {
	log.SetFlags(0)
	source := download()
	for _, folder := range shared {
		check(os.CopyFS(filepath.Join("api", folder), os.DirFS(filepath.Join(source, folder))))
	}
	copyFile(filepath.Join(source, "go.mod"), filepath.Join("api", "go.mod"))
	files, err := filepath.Glob(filepath.Join(source, "*", "*", "*-gen.go"))
	check(err)
	sort.Strings(files)
	var imports, methods strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		check(err)
		if !cancels.Match(text) {
			continue
		}
		folder, err := filepath.Rel(source, filepath.Dir(file))
		check(err)
		client := parse(text)
		target := filepath.Join("api", folder)
		check(os.MkdirAll(target, 0o777))
		check(os.WriteFile(filepath.Join(target, "client.go"), client.needed(), 0o666))
		alias := strings.NewReplacer("/", "_", "-", "_").Replace(folder)
		fmt.Fprintf(&imports, "%s %q\n", alias, module+"/"+filepath.ToSlash(folder))
		document := readDocument(strings.TrimSuffix(file, "-gen.go") + "-api.json")
		for _, service := range client.services() {
			methods.WriteString(client.method(alias, document, service))
		}
	}
	text := "package main\nimport (\n\"context\"\n\"net/http\"\n\"google.golang.org/api/option\"\n" + imports.String() +
		")\nvar methods = []method{\n" + methods.String() + "}\n"
	formatted, err := format.Source([]byte(text))
	check(err)
	check(os.WriteFile("methods.go", formatted, 0o666))
	check(exec.Command("go", "mod", "edit", "-replace="+module+"=./api").Run())
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// download returns the folder of the module in the version of go.mod.
func download() string {
	output, err := exec.Command("go", "mod", "download", "-json", module).Output()
	check(err)
	var found struct{ Dir string }
	check(json.Unmarshal(output, &found))
	return found.Dir
}

func copyFile(from, to string) {
	text, err := os.ReadFile(from)
	check(err)
	check(os.WriteFile(to, text, 0o666))
}

// client is the file of a client.
type client struct {
	set  *token.FileSet
	file *ast.File
	// Declarations by the names that they declare.
	named map[string]ast.Decl
	// Methods by the type of their receiver.
	methods map[string][]*ast.FuncDecl
}

func parse(text []byte) client {
	c := client{set: token.NewFileSet(), named: map[string]ast.Decl{}, methods: map[string][]*ast.FuncDecl{}}
	file, err := parser.ParseFile(c.set, "", text, parser.SkipObjectResolution)
	check(err)
	c.file = file
	for _, declaration := range file.Decls {
		switch declaration := declaration.(type) {
		case *ast.FuncDecl:
			if declaration.Recv == nil {
				c.named[declaration.Name.Name] = declaration
			} else {
				receiver := typeName(declaration.Recv.List[0].Type)
				c.methods[receiver] = append(c.methods[receiver], declaration)
			}
		case *ast.GenDecl:
			for _, spec := range declaration.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					c.named[spec.Name.Name] = declaration
				case *ast.ValueSpec:
					for _, name := range spec.Names {
						c.named[name.Name] = declaration
					}
				}
			}
		}
	}
	return c
}

func typeName(expression ast.Expr) string {
	if star, ok := expression.(*ast.StarExpr); ok {
		expression = star.X
	}
	if name, ok := expression.(*ast.Ident); ok {
		return name.Name
	}
	return ""
}

// services returns the types whose Cancel cancels an operation, in the order of the file.
func (c client) services() []string {
	var found []string
	for _, declaration := range c.file.Decls {
		function, ok := declaration.(*ast.FuncDecl)
		if ok && function.Recv != nil && function.Name.Name == "Cancel" {
			if service := typeName(function.Recv.List[0].Type); strings.HasSuffix(service, "OperationsService") {
				found = append(found, service)
			}
		}
	}
	return found
}

func (c client) methodOf(receiver, name string) *ast.FuncDecl {
	for _, method := range c.methods[receiver] {
		if method.Name.Name == name {
			return method
		}
	}
	return nil
}

// needed returns the file with the declarations that creating the client, Cancel and the Get beside it need, unchanged.
func (c client) needed() []byte {
	keep := map[ast.Decl]bool{}
	var open []ast.Decl
	add := func(declaration ast.Decl) {
		if declaration != nil && !keep[declaration] {
			keep[declaration] = true
			open = append(open, declaration)
		}
	}
	addType := func(name string) {
		if declaration, ok := c.named[name]; ok {
			add(declaration)
		}
		// The services have a method for each method of the API, of which few are needed.
		if !strings.HasSuffix(name, "Service") || name == c.root() {
			for _, method := range c.methods[name] {
				add(method)
			}
		}
	}
	for _, declaration := range c.file.Decls {
		// Imports, constants, and the variables that use each import.
		if general, ok := declaration.(*ast.GenDecl); ok && general.Tok != token.TYPE {
			add(general)
		}
	}
	addType("NewService")
	for _, service := range c.services() {
		add(c.methodOf(service, "Cancel"))
		if get := c.methodOf(service, "Get"); get != nil {
			add(get)
		}
	}
	for len(open) > 0 {
		declaration := open[len(open)-1]
		open = open[:len(open)-1]
		ast.Inspect(declaration, func(node ast.Node) bool {
			if name, ok := node.(*ast.Ident); ok {
				addType(name.Name)
			}
			return true
		})
	}
	pruned := *c.file
	pruned.Decls = nil
	for _, declaration := range c.file.Decls {
		if keep[declaration] {
			pruned.Decls = append(pruned.Decls, declaration)
		}
	}
	var text bytes.Buffer
	check(format.Node(&text, c.set, &pruned))
	return text.Bytes()
}

// method returns the element of methods for a service type.
func (c client) method(alias string, document *document, service string) string {
	cancel := c.methodOf(service, "Cancel")
	fields := c.fields(c.root(), service)
	found := document.method(fields)
	if found == nil {
		log.Fatalf("%s %s: the document has no method for %s", document.Name, document.Version, fields)
	}
	var parameters strings.Builder
	for _, name := range c.pathParameters(cancel) {
		fmt.Fprintf(&parameters, "{%q, %q}, ", name, found.Parameters[name].Pattern)
	}
	get := "nil"
	if method := c.methodOf(service, "Get"); method != nil {
		get = c.call(alias, service, method)
	}
	return fmt.Sprintf("{%q, %q, %q, %q, [][2]string{%s}, %s, %s},\n", document.Name, document.Version, found.ID, found.Path,
		parameters.String(), c.call(alias, service, cancel), get)
}

// pathParameters returns the names of the arguments that are texts, as the document has them.
func (c client) pathParameters(method *ast.FuncDecl) []string {
	var names []string
	for _, argument := range method.Type.Params.List {
		if typeName(argument.Type) == "string" {
			for _, name := range argument.Names {
				names = append(names, name.Name)
			}
		}
	}
	return names
}

// call returns a function that sends a request of a method.
func (c client) call(alias, service string, method *ast.FuncDecl) string {
	var arguments []string
	for _, argument := range method.Type.Params.List {
		for range argument.Names {
			if name := typeName(argument.Type); name == "string" {
				arguments = append(arguments, fmt.Sprintf("with[%d]", len(arguments)))
			} else {
				arguments = append(arguments, fmt.Sprintf("&%s.%s{}", alias, name))
			}
		}
	}
	do := c.methodOf(typeName(method.Type.Results.List[0].Type), "Do")
	result := "_, err = "
	if len(do.Type.Results.List) == 1 {
		result = "err = "
	}
	return fmt.Sprintf(`func(client *http.Client, with []string) error {
service, err := %s.NewService(context.Background(), option.WithHTTPClient(client))
if err != nil { return err }
%sservice.%s.%s(%s).Do()
return err
}`, alias, result, c.fields(c.root(), service), method.Name.Name, strings.Join(arguments, ", "))
}

// root returns the type of the client, which has another name than Service where the API has a message of that name.
func (c client) root() string {
	return typeName(c.named["NewService"].(*ast.FuncDecl).Type.Results.List[0].Type)
}

// fields returns the fields that lead from a type to a service.
func (c client) fields(from, to string) string {
	declaration, ok := c.named[from].(*ast.GenDecl)
	if !ok {
		return ""
	}
	for _, field := range declaration.Specs[0].(*ast.TypeSpec).Type.(*ast.StructType).Fields.List {
		name := typeName(field.Type)
		if len(field.Names) == 0 || !ast.IsExported(field.Names[0].Name) || !strings.HasSuffix(name, "Service") {
			continue
		}
		if name == to {
			return field.Names[0].Name
		}
		if rest := c.fields(name, to); rest != "" {
			return field.Names[0].Name + "." + rest
		}
	}
	return ""
}

// document is a discovery document.
type document struct {
	Name, Version string
	resource
}

type resource struct {
	Resources map[string]*resource
	Methods   map[string]*documented
}

type documented struct {
	ID, Path   string
	Parameters map[string]struct{ Pattern string }
}

func readDocument(path string) *document {
	text, err := os.ReadFile(path)
	check(err)
	var read document
	check(json.Unmarshal(text, &read))
	return &read
}

// method returns the method cancel of the resource that these fields of the client lead to; nil if there is none.
func (r *resource) method(fields string) *documented {
	for _, field := range strings.Split(fields, ".") {
		r = r.Resources[strings.ToLower(field[:1])+field[1:]]
		if r == nil {
			return nil
		}
	}
	return r.Methods["cancel"]
}

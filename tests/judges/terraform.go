package main

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
	ctyjson "github.com/zclconf/go-cty/cty/json"
)

// terraformOpinion is what terraform/main.tf makes of an object: neither Terraform nor its provider runs here, but its
// conditions are read from that file and evaluated by HCL.
type terraformOpinion struct {
	// Waits says that `wait` of the resource goes on.
	Waits bool `json:"waits"`
	// Passes says that the postcondition of the data source, which is read when the wait is over, holds.
	Passes bool `json:"passes"`
	// Says is its error message if it does not.
	Says string `json:"says"`
}

type terraform struct {
	// The conditions that the provider waits for: type to status.
	wait      map[string]string
	condition hcl.Expression
	message   hcl.Expression
}

func readTerraform(path string) (*terraform, error) {
	file, diagnostics := hclparse.NewParser().ParseHCLFile(path)
	if diagnostics.HasErrors() {
		return nil, diagnostics
	}
	body, ok := file.Body.(*hclsyntax.Body)
	if !ok {
		return nil, fmt.Errorf("%s is not in HCL's native syntax", path)
	}
	t := &terraform{wait: map[string]string{}}
	for _, block := range within(body, "resource") {
		for _, wait := range within(block, "wait") {
			for _, condition := range within(wait, "condition") {
				kind, status := constant(condition, "type"), constant(condition, "status")
				t.wait[kind] = status
			}
		}
	}
	for _, block := range within(body, "data") {
		for _, lifecycle := range within(block, "lifecycle") {
			for _, post := range within(lifecycle, "postcondition") {
				t.condition, t.message = post.Attributes["condition"].Expr, post.Attributes["error_message"].Expr
			}
		}
	}
	if len(t.wait) == 0 || t.condition == nil {
		return nil, fmt.Errorf("%s has no wait condition or no postcondition", path)
	}
	return t, nil
}

func within(body *hclsyntax.Body, kind string) (bodies []*hclsyntax.Body) {
	for _, block := range body.Blocks {
		if block.Type == kind {
			bodies = append(bodies, block.Body)
		}
	}
	return bodies
}

func constant(body *hclsyntax.Body, name string) string {
	attribute, there := body.Attributes[name]
	if !there {
		return ""
	}
	value, diagnostics := attribute.Expr.Value(nil)
	if diagnostics.HasErrors() || value.Type() != cty.String {
		return ""
	}
	return value.AsString()
}

func (t *terraform) judge(text []byte) terraformOpinion {
	object, err := ctyObject(text)
	if err != nil {
		return terraformOpinion{Says: "error: " + err.Error()}
	}
	for kind, status := range t.wait {
		if !hasCondition(object, kind, status) {
			return terraformOpinion{Waits: true}
		}
	}
	context := &hcl.EvalContext{
		Variables: map[string]cty.Value{"self": cty.ObjectVal(map[string]cty.Value{"object": object})},
		Functions: map[string]function.Function{"contains": stdlib.ContainsFunc, "join": stdlib.JoinFunc},
	}
	passes, diagnostics := t.condition.Value(context)
	if diagnostics.HasErrors() {
		return terraformOpinion{Says: "error: " + diagnostics.Error()}
	}
	if passes.True() {
		return terraformOpinion{Passes: true}
	}
	message, diagnostics := t.message.Value(context)
	if diagnostics.HasErrors() {
		return terraformOpinion{Says: "error: " + diagnostics.Error()}
	}
	return terraformOpinion{Says: message.AsString()}
}

// hasCondition is the provider's rule (manifest/provider, `wait.condition`): type and status, no generation.
func hasCondition(object cty.Value, kind, status string) bool {
	if !object.Type().HasAttribute("status") || !object.GetAttr("status").Type().HasAttribute("conditions") {
		return false
	}
	for conditions := object.GetAttr("status").GetAttr("conditions").ElementIterator(); conditions.Next(); {
		_, condition := conditions.Element()
		if condition.GetAttr("type").AsString() == kind && condition.GetAttr("status").AsString() == status {
			return true
		}
	}
	return false
}

func ctyObject(text []byte) (cty.Value, error) {
	kind, err := ctyjson.ImpliedType(text)
	if err != nil {
		return cty.NilVal, err
	}
	return ctyjson.Unmarshal(text, kind)
}

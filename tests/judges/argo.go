package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"time"

	jsonpatch "github.com/evanphx/json-patch/v5"
	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	luajson "layeh.com/gopher-json"
	"sigs.k8s.io/yaml"
)

const (
	healthKey  = "resource.customizations.health.opcancel.github.io_OperationCancellation"
	actionsKey = "resource.customizations.actions.opcancel.github.io_OperationCancellation"
)

// argo runs the scripts of a ConfigMap argocd-cm as Argo CD 3.5 does (its util/lua): the same interpreter, the libraries that
// are open there (package, base, table; its cut-down os is left out, so that a script with a clock fails here), one second.
type argo struct {
	healthScript string
	discovery    string
	definitions  map[string]string
}

func readArgo(path string) (*argo, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var configMap struct {
		Data map[string]string `json:"data"`
	}
	if err := yaml.Unmarshal(text, &configMap); err != nil {
		return nil, err
	}
	var actions struct {
		Discovery   string `json:"discovery.lua"`
		Definitions []struct {
			Name   string `json:"name"`
			Action string `json:"action.lua"`
		} `json:"definitions"`
	}
	if err := yaml.UnmarshalStrict([]byte(configMap.Data[actionsKey]), &actions); err != nil {
		return nil, fmt.Errorf("%s: %w", actionsKey, err)
	}
	a := &argo{configMap.Data[healthKey], actions.Discovery, map[string]string{}}
	for _, definition := range actions.Definitions {
		a.definitions[definition.Name] = definition.Action
	}
	if a.healthScript == "" || a.discovery == "" || len(a.definitions) == 0 {
		return nil, fmt.Errorf("%s lacks %s or %s", path, healthKey, actionsKey)
	}
	return a, nil
}

func (a *argo) health(object *unstructured.Unstructured) opinion {
	// gitops-engine says this before any script is asked.
	if object.GetDeletionTimestamp() != nil {
		return opinion{"Progressing", "Pending deletion"}
	}
	text, err := runLua(a.healthScript, object)
	if err != nil {
		return failed(err)
	}
	var health struct{ Status, Message string }
	if err := json.Unmarshal(text, &health); err != nil {
		return failed(err)
	}
	if !slices.Contains([]string{"Healthy", "Progressing", "Degraded", "Suspended"}, health.Status) {
		return failed(fmt.Errorf("no health status: %s", text))
	}
	return opinion{health.Status, health.Message}
}

// actions returns the merge patch of each action that is offered and not disabled.
func (a *argo) actions(object *unstructured.Unstructured) (map[string]string, error) {
	text, err := runLua(a.discovery, object)
	if err != nil {
		return nil, err
	}
	patches := map[string]string{}
	// An empty table is an empty list here.
	if string(text) == "[]" {
		return patches, nil
	}
	var offered map[string]struct {
		Disabled bool `json:"disabled"`
	}
	if err := json.Unmarshal(text, &offered); err != nil {
		return nil, err
	}
	for name, action := range offered {
		script, known := a.definitions[name]
		if !known {
			return nil, fmt.Errorf("%s is offered and not defined", name)
		}
		if action.Disabled {
			continue
		}
		returned, err := runLua(script, object)
		if err != nil {
			return nil, err
		}
		if patches[name], err = mergePatch(object, returned); err != nil {
			return nil, err
		}
	}
	return patches, nil
}

// mergePatch is what Argo CD sends to the API server for an object that an action returned.
func mergePatch(live *unstructured.Unstructured, returned []byte) (string, error) {
	changed := &unstructured.Unstructured{}
	if err := changed.UnmarshalJSON(returned); err != nil {
		return "", err
	}
	before, err := live.MarshalJSON()
	if err != nil {
		return "", err
	}
	changed.Object = emptyObjectsAgain(changed.Object, live.Object).(map[string]any)
	after, err := changed.MarshalJSON()
	if err != nil {
		return "", err
	}
	patch, err := jsonpatch.CreateMergePatch(before, after)
	return string(patch), err
}

// emptyObjectsAgain makes an empty list an empty object where that is what the script was given: Lua has one empty table.
func emptyObjectsAgain(returned, given any) any {
	switch given := given.(type) {
	case map[string]any:
		if list, ok := returned.([]any); ok && len(list) == 0 {
			return map[string]any{}
		}
		if object, ok := returned.(map[string]any); ok {
			for key, value := range object {
				object[key] = emptyObjectsAgain(value, given[key])
			}
		}
	case []any:
		if list, ok := returned.([]any); ok {
			for i := range min(len(list), len(given)) {
				list[i] = emptyObjectsAgain(list[i], given[i])
			}
		}
	}
	return returned
}

// runLua returns the table that the script returns, as JSON.
func runLua(script string, object *unstructured.Unstructured) ([]byte, error) {
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	for _, library := range []struct {
		name string
		open lua.LGFunction
	}{{lua.LoadLibName, lua.OpenPackage}, {lua.BaseLibName, lua.OpenBase}, {lua.TabLibName, lua.OpenTable}} {
		call := lua.P{Fn: state.NewFunction(library.open), Protect: true}
		if err := state.CallByParam(call, lua.LString(library.name)); err != nil {
			return nil, err
		}
	}
	limit, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	state.SetContext(limit)
	state.SetGlobal("actionParams", state.NewTable())
	state.SetGlobal("obj", toLua(state, object.Object))
	if err := state.DoString(script); err != nil {
		return nil, err
	}
	result := state.Get(-1)
	if result.Type() != lua.LTTable {
		return nil, fmt.Errorf("the script returned a %s, not a table", result.Type())
	}
	return luajson.Encode(result)
}

// toLua has integers too, which gopher-json's own way back from JSON does not know: numbers are one type in Lua.
func toLua(state *lua.LState, value any) lua.LValue {
	switch value := value.(type) {
	case int64:
		return lua.LNumber(value)
	case []any:
		list := state.CreateTable(len(value), 0)
		for _, item := range value {
			list.Append(toLua(state, item))
		}
		return list
	case map[string]any:
		table := state.CreateTable(0, len(value))
		for key, item := range value {
			table.RawSetString(key, toLua(state, item))
		}
		return table
	default:
		return luajson.DecodeValue(state, value)
	}
}

package main

import (
	"context"
	"fmt"
	"os"

	"github.com/fluxcd/pkg/apis/kustomize"
	"github.com/fluxcd/pkg/runtime/cel"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// flux evaluates spec.healthCheckExprs of a Kustomization with the library that kustomize-controller evaluates them with.
type flux struct {
	expressions *cel.StatusEvaluator
}

func readFlux(path string) (*flux, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var kustomization struct {
		Spec struct {
			HealthCheckExprs []map[string]any `json:"healthCheckExprs"`
		} `json:"spec"`
	}
	if err := yaml.Unmarshal(text, &kustomization); err != nil {
		return nil, err
	}
	if len(kustomization.Spec.HealthCheckExprs) != 1 {
		return nil, fmt.Errorf("%s: expected one entry in healthCheckExprs", path)
	}
	// By itself, so that a misspelt field is an error: the rest of a Kustomization is none of our business.
	entry, err := yaml.Marshal(kustomization.Spec.HealthCheckExprs[0])
	if err != nil {
		return nil, err
	}
	var check kustomize.CustomHealthCheck
	if err := yaml.UnmarshalStrict(entry, &check); err != nil {
		return nil, err
	}
	if check.APIVersion != "opcancel.github.io/v1alpha1" || check.Kind != "OperationCancellation" {
		return nil, fmt.Errorf("%s: it checks %s %s", path, check.APIVersion, check.Kind)
	}
	expressions, err := cel.NewStatusEvaluator(&check.HealthCheckExpressions)
	return &flux{expressions}, err
}

func (f *flux) judge(object *unstructured.Unstructured) opinion {
	result, err := f.expressions.Evaluate(context.Background(), object)
	if err != nil {
		return failed(err)
	}
	return opinion{result.Status.String(), result.Message}
}

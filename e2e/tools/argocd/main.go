// Command argocd-lua judges objects by the customizations in an argocd-cm ConfigMap, with Argo CD's own parser and
// Lua machine, as its controller and its API server do. It reads YAML documents from standard input, and prints for
// each, as JSON in a line: its health, the actions that are offered for it, and what each action makes of it.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/argoproj/argo-cd/v3/pkg/apis/application/v1alpha1"
	"github.com/argoproj/argo-cd/v3/util/lua"
	"github.com/argoproj/argo-cd/v3/util/settings"
	"github.com/argoproj/gitops-engine/pkg/health"
	"github.com/sirupsen/logrus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes/fake"
	"sigs.k8s.io/yaml"
)

type outcome struct {
	Becomes *unstructured.Unstructured `json:"becomes,omitempty"`
	Error   string                     `json:"error,omitempty"`
}

type judged struct {
	Health   *health.HealthStatus               `json:"health"`
	Offered  map[string]v1alpha1.ResourceAction `json:"offered"`
	Outcomes map[string]outcome                 `json:"outcomes"`
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) != 2 {
		return errors.New("usage: argocd-lua ARGOCD-CM.yaml < OBJECTS.yaml")
	}
	logrus.SetLevel(logrus.WarnLevel)
	overrides, err := read(os.Args[1])
	if err != nil {
		return err
	}
	documents := utilyaml.NewYAMLOrJSONDecoder(os.Stdin, 4096)
	lines := json.NewEncoder(os.Stdout)
	for {
		object := &unstructured.Unstructured{}
		if err := documents.Decode(&object.Object); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		// As a watch brings it: whole numbers are int64, and not the float64 of plain JSON.
		bytes, err := object.MarshalJSON()
		if err != nil {
			return err
		}
		if err := object.UnmarshalJSON(bytes); err != nil {
			return err
		}
		found, err := judge(overrides, object)
		if err != nil {
			return fmt.Errorf("%s: %w", object.GetName(), err)
		}
		if err := lines.Encode(found); err != nil {
			return err
		}
	}
}

// read gives what Argo CD reads of a ConfigMap. Only the API server that it comes from is a stand-in.
func read(file string) (map[string]v1alpha1.ResourceOverride, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	config := &corev1.ConfigMap{}
	if err := yaml.UnmarshalStrict(bytes.TrimSpace(text), config); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	config.Labels = map[string]string{"app.kubernetes.io/part-of": "argocd"}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{
		Name: "argocd-secret", Namespace: config.Namespace, Labels: config.Labels,
	}}
	client := fake.NewClientset(config, secret)
	return settings.NewSettingsManager(context.Background(), client, config.Namespace).GetResourceOverrides()
}

func judge(overrides map[string]v1alpha1.ResourceOverride, object *unstructured.Unstructured) (*judged, error) {
	var err error
	found := &judged{Offered: map[string]v1alpha1.ResourceAction{}, Outcomes: map[string]outcome{}}
	if found.Health, err = health.GetResourceHealth(object, lua.ResourceHealthOverrides(overrides)); err != nil {
		return nil, err
	}
	machine := lua.VM{ResourceOverrides: overrides}
	scripts, err := machine.GetResourceActionDiscovery(object)
	if err != nil {
		return nil, err
	}
	actions, err := machine.ExecuteResourceActionDiscovery(object, scripts)
	if err != nil {
		return nil, err
	}
	for _, action := range actions {
		found.Offered[action.Name] = action
		found.Outcomes[action.Name] = act(machine, object, action.Name)
	}
	return found, nil
}

// act does as the API server does when a person asks, whether the action is offered or not.
func act(machine lua.VM, object *unstructured.Unstructured, name string) outcome {
	action, err := machine.GetResourceAction(object, name)
	if err != nil {
		return outcome{Error: err.Error()}
	}
	made, err := machine.ExecuteResourceAction(object, action.ActionLua, nil)
	if err != nil {
		return outcome{Error: err.Error()}
	}
	if len(made) != 1 || made[0].K8SOperation != lua.PatchOperation {
		return outcome{Error: fmt.Sprintf("%d objects", len(made))}
	}
	return outcome{Becomes: made[0].UnstructuredObj}
}

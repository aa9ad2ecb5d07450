// What kube-scheduler's own filter plugins say of each pending pod on each Node. One JSON object
// {"nodes": [Node], "pods": [bound Pod], "pending": [Pod]} a line is read from standard input, and answered by a line
// [{"<node>": "" or "<Plugin>: <reason>"}].
//
// The plugins, their order and their arguments are those of the default configuration, the feature gates have their
// defaults. Nothing is asked of any server: plugins that look at claims, volumes or groups are left out.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/informers"
	clientset "k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/apis/config/latest"
	"k8s.io/kubernetes/pkg/scheduler/backend/cache"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins"
	"k8s.io/kubernetes/pkg/scheduler/framework/plugins/names"
	frameworkruntime "k8s.io/kubernetes/pkg/scheduler/framework/runtime"
	"k8s.io/kubernetes/pkg/scheduler/metrics"
)

var judging = map[string]bool{
	names.NodeName:             true,
	names.NodeUnschedulable:    true,
	names.TaintToleration:      true,
	names.NodeAffinity:         true,
	names.NodePorts:            true,
	names.NodeResourcesFit:     true,
	names.PodTopologySpread:    true,
	names.InterPodAffinity:     true,
	names.NodeDeclaredFeatures: true,
}

type cluster struct {
	Nodes   []*v1.Node `json:"nodes"`
	Pods    []*v1.Pod  `json:"pods"`
	Pending []*v1.Pod  `json:"pending"`
}

// lister is the snapshot of the line at hand; plugins keep what they are made with.
type lister struct{ *cache.Snapshot }

func main() {
	if err := answer(context.Background(), bufio.NewReaderSize(os.Stdin, 1<<20), bufio.NewWriter(os.Stdout)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func answer(ctx context.Context, in *bufio.Reader, out *bufio.Writer) error {
	snapshot := &lister{cache.NewEmptySnapshot()}
	filters, err := makeFilters(ctx, snapshot)
	if err != nil {
		return err
	}
	for number := 1; ; number++ {
		line, end := in.ReadBytes('\n')
		if len(line) > 0 {
			var given cluster
			if err := json.Unmarshal(line, &given); err != nil {
				return fmt.Errorf("line %d: %w", number, err)
			}
			found, err := json.Marshal(verdicts(ctx, filters, snapshot, given))
			if err != nil {
				return err
			}
			if _, err := out.Write(append(found, '\n')); err != nil {
				return err
			}
			if err := out.Flush(); err != nil {
				return err
			}
		}
		if end == io.EOF {
			return nil
		} else if end != nil {
			return end
		}
	}
}

// makeFilters makes the plugins of the default profile that judge, in its order.
func makeFilters(ctx context.Context, snapshot fwk.SharedLister) ([]fwk.FilterPlugin, error) {
	metrics.InitMetrics() // plugins count without asking whether there is anything to count with
	defaults, err := latest.Default()
	if err != nil {
		return nil, err
	}
	// its informers are never started: there are no services, and no namespaces with labels
	client, err := clientset.NewForConfig(&rest.Config{Host: "http://127.0.0.1:1"})
	if err != nil {
		return nil, err
	}
	handle, err := frameworkruntime.NewFramework(ctx, nil, nil,
		frameworkruntime.WithSnapshotSharedLister(snapshot),
		frameworkruntime.WithInformerFactory(informers.NewSharedInformerFactory(client, 0)),
	)
	if err != nil {
		return nil, err
	}
	profile := defaults.Profiles[0]
	arguments := map[string]runtime.Object{}
	for _, each := range profile.PluginConfig {
		arguments[each.Name] = each.Args
	}
	registry := plugins.NewInTreeRegistry()
	var filters []fwk.FilterPlugin
	for _, each := range profile.Plugins.MultiPoint.Enabled {
		if !judging[each.Name] {
			continue
		}
		made, err := registry[each.Name](ctx, arguments[each.Name], handle)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", each.Name, err)
		}
		filters = append(filters, made.(fwk.FilterPlugin))
	}
	return filters, nil
}

func verdicts(ctx context.Context, filters []fwk.FilterPlugin, snapshot *lister, given cluster) []map[string]string {
	known := map[string]bool{}
	for _, node := range given.Nodes {
		known[node.Name] = true
	}
	// the scheduler's cache holds neither pods that have ended nor, here, Nodes that are gone
	var bound []*v1.Pod
	for _, pod := range given.Pods {
		if known[pod.Spec.NodeName] && pod.Status.Phase != v1.PodSucceeded && pod.Status.Phase != v1.PodFailed {
			bound = append(bound, pod)
		}
	}
	snapshot.Snapshot = cache.NewSnapshot(bound, given.Nodes)
	nodes, err := snapshot.NodeInfos().List()
	if err != nil {
		panic(err)
	}
	found := make([]map[string]string, 0, len(given.Pending))
	for _, pod := range given.Pending {
		found = append(found, verdict(ctx, filters, nodes, pod))
	}
	return found
}

// verdict asks each plugin in turn; its PreFilter, too, objects in its place.
func verdict(ctx context.Context, filters []fwk.FilterPlugin, nodes []fwk.NodeInfo, pod *v1.Pod) map[string]string {
	found := make(map[string]string, len(nodes))
	for _, node := range nodes {
		found[node.Node().Name] = ""
	}
	state := framework.NewCycleState()
	for _, filter := range filters {
		object := func(name string, reason string) {
			if found[name] == "" {
				found[name] = filter.Name() + ": " + reason
			}
		}
		if before, ok := filter.(fwk.PreFilterPlugin); ok {
			result, status := before.PreFilter(ctx, state, pod, nodes)
			if status.IsSkip() {
				continue
			}
			for name := range found {
				if !status.IsSuccess() {
					object(name, status.Message())
				} else if !result.AllNodes() && !result.NodeNames.Has(name) {
					object(name, "not among the nodes that the pod names")
				}
			}
			if !status.IsSuccess() {
				continue
			}
		}
		for _, node := range nodes {
			if name := node.Node().Name; found[name] == "" {
				if status := filter.Filter(ctx, state, pod, node); !status.IsSuccess() {
					object(name, status.Message())
				}
			}
		}
	}
	return found
}
